"""Tasks: what each puts on the encoder - a model with its head and loss, and how good its answers are."""
