"""Monitoring: detectors watch losses, inputs and predictions for drift, and give evidence."""
