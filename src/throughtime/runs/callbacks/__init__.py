"""Lightning callbacks of a run in passes: files, progress bar, TensorBoard, diagnoses."""
