"""The whole way: from images to a network in use, by searches and trainings under NNI."""
