"""Tasks: what the commands finetune, evaluate, predict and export must know of each; a file a task."""
