"""The learning itself: pure functions and small classes on arrays, without files, MLflow or Flower."""
