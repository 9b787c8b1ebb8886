"""Foundation models of physiological signals in Keras 3."""
