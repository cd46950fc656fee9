"""An experiment read back: from NNI's database, the tuner's journal and the trials' folders."""
