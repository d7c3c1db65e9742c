"""A run's V, M and C for programs of other people: ONNX, or a folder that a web page loads."""
