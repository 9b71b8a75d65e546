"""Faces in clips: where they are by the joints of the head, and what a model of expressions says of them (Table VII)."""
