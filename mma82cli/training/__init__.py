"""Recipes, batches, the training loop, and its checkpoints."""
