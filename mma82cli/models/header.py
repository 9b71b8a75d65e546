"""Where a checkpoint says what it is: in the metadata of safetensors' header, or of an ONNX file."""

METADATA = "mma82"  # the key; its value is JSON: recipe, taxonomy, layout, version and more
