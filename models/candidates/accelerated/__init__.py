"""River's models, made faster: equal predictions and equal state, to the last digit."""

from typing import Any, TypeAlias

from river.base.typing import FeatureName

Instance: TypeAlias = dict[FeatureName, Any]
"""Feature name to number, boolean or text, as River's signatures have it."""
