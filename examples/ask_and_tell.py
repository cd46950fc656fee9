"""A search without NNI, in a loop of one's own: ``python examples/ask_and_tell.py``."""

from __future__ import annotations

from nni_blockqnn import BlockSearch, NetworkSpec, SearchSpace, estimate_cost

space = SearchSpace(max_layers=6, network="digits", repeats=(1,))
search = BlockSearch(space, seed=0, budget=20)
while len(search.history) < 20 and (suggestion := search.ask()):
    cost = estimate_cost(suggestion.block, NetworkSpec("digits", repeats=suggestion.repeats))
    search.tell(suggestion.episode, 100 - cost.flops / 1e4)  # your training's accuracy goes here
for result in search.best(3):
    print(f"{result.reward:.1f}", result.block)
