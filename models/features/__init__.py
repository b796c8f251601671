from millrace.models.features.features import calendar, derived, fields, rolling

__all__ = ["calendar", "derived", "fields", "rolling"]
