"""The planner: what a run will need of its GPU, before it starts."""

from ponder.plan.fit import Plan
from ponder.plan.memory import Sizes
from ponder.plan.plan import choose, make_plan

__all__ = ["Plan", "Sizes", "choose", "make_plan"]
