"""The stages, one file each, in the pipeline's order: each turns a run folder into a fuller one."""
