"""Selection: when a challenger takes the place of the model that predicts."""
