"""A run folder kept in S3 as well: pulled when a stage starts, mirrored as it goes on."""
