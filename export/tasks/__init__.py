"""Tasks: strings -> answers as TensorFlow functions; a file a task."""
