"""Training a sequence model from a file: settings, model, Lightning module, callbacks, checkpoints, sentences."""
