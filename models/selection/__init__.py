"""Selection: when a challenger takes the place of a candidate."""
