"""Training losses and picture measures: pure functions of tensors."""
