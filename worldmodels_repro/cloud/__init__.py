"""Rented machines: made, priced, watched and removed on AWS, through boto3."""

RECORD = "machines.jsonl"  # in a run's folder: what was rented for it, and for how long
