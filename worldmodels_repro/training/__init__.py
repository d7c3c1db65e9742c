"""What training has in common, whatever learns."""
