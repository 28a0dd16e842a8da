"""One page from the records of a run or of a diagnosis: figures, tables and sentences, without a network."""
