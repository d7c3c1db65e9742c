"""The command line's verbs that are no stage: to look, to check, to play."""
