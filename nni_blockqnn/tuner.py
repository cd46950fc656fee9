"""The NNI tuner: a :class:`~nni_blockqnn.q_learning.search.BlockSearch` behind NNI's callbacks.

It only adapts. NNI calls ``generate_parameters``, ``receive_trial_result`` and ``import_data`` on
one thread and ``trial_end`` on another, in either order, and an exception in any of them ends the
whole search. So every callback takes the lock, and logs what it cannot use. A result belongs to the
block and episode that its metric names: NNI mixes parameter ids up (docs/nni.md).
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nni
from nni.tuner import Tuner

from nni_blockqnn.bridge.database import database_in, read_profile
from nni_blockqnn.common.garbage import collection_paused
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.class_args import check_class_args
from nni_blockqnn.exchange.kept_results import RESULT_NAME, KeptResults
from nni_blockqnn.exchange.metrics import (
    FinalMetric,
    MetricError,
    parse_failure,
    parse_final_metric,
)
from nni_blockqnn.exchange.parameters import trial_parameters
from nni_blockqnn.hosts.machine import Machine, machines_of_record
from nni_blockqnn.hosts.results import Fetcher
from nni_blockqnn.q_learning.q_agent import QAgent
from nni_blockqnn.q_learning.search import (
    BlockSearch,
    OtherCostError,
    Result,
    Suggestion,
    UncountableError,
)
from nni_blockqnn.record.events import (
    failure_event,
    release_event,
    replay_event,
    restart_event,
    result_event,
    suggestion_event,
)
from nni_blockqnn.record.journal import JOURNAL_NAME, Journal
from nni_blockqnn.record.lock import lock_journal
from nni_blockqnn.record.snapshot import (
    SNAPSHOT_INTERVAL,
    SNAPSHOT_NAME,
    load_snapshot,
    save_snapshot,
)
from nni_blockqnn.space.search_space import SearchSpace

_logger = logging.getLogger(__name__)


_PRESETS: Any = type("_Presets", (), {"__repr__": lambda self: "<the preset's>"})()
"""Default of the arguments that the preset sets; ``None`` is a value like any other there."""


class BlockQNNTuner(Tuner):
    """Searches convolutional blocks with Q-learning (arXiv 1708.05552).

    The arguments are NNI's ``classArgs``. ``SearchArguments`` (nni_blockqnn.q_learning.arguments)
    and ``AgentSettings`` (nni_blockqnn.q_learning.settings) say what each one does. An argument
    given beside a preset wins.
    """

    def __init__(
        self,
        preset: str = "tuned",
        budget: int | None = None,
        seed: int | None = None,
        *,
        agent: str = "q",
        predictor: str | None = None,
        limits: Mapping[str, int] | None = None,
        match: Mapping[str, int | str] | None = None,
        start_blocks: Sequence[Any] | None = None,
        repeats_rule: str = "largest",
        known_blocks: str = "replay",
        optimize_mode: str = "maximize",
        candidates: Mapping[str, float] = _PRESETS,
        epsilon_schedule: Sequence[Sequence[float]] | None = None,
        batch_size: int = _PRESETS,
        learning_rate: float = _PRESETS,
        step_size: str = _PRESETS,
        discount: float = _PRESETS,
        initial_q: float = _PRESETS,
        replay_updates: int = _PRESETS,
        replay_capacity: int = _PRESETS,
        reward_shaping: bool = _PRESETS,
        standardise: bool = _PRESETS,
        exploration: str = _PRESETS,
        **unknown: Any,
    ) -> None:
        """
        Args:
            seed: drawn and logged if it is not given, so that any search can be repeated.
            unknown: refused, naming the arguments that there are.

        Raises:
            ValueError: naming the argument, its value and what is allowed.
        """
        arguments = {**locals(), **unknown}
        for name in ("self", "unknown"):
            del arguments[name]
        self._class_args = check_class_args(
            {name: value for name, value in arguments.items() if value is not _PRESETS}
        )
        self._lock = threading.RLock()
        self._search: BlockSearch | None = None
        self._journal = Journal(None)
        self._kept: KeptResults | None = None
        self._running: dict[int, int] = {}  # episodes of the trials that run, by parameter id
        self._ended: list[int] = []  # episodes whose trial ended, as far as NNI's ids are right
        self._inherited: set[int] = set()  # episodes that were under way at a restart
        self._fetcher: Fetcher | None = None
        self._lost: set[int] = set()  # episodes whose trial may have kept its result on a host

    @property
    def history(self) -> list[Result]:
        """The counted results, oldest first; they survive a kill and resume."""
        with self._lock:
            return list(self._search.history) if self._search else []

    def update_search_space(self, search_space: dict[str, Any]) -> None:
        """Start, or continue, in this space. What was learnt of blocks within it is kept.

        If a search runs and the space cannot be used, that is logged and the old space stays.
        """
        with self._lock:
            try:
                space = SearchSpace.from_json(search_space)
                self._rebuild(space)
            except ValueError as error:
                if self._search is None:
                    raise
                _logger.error("The search space stays as it was: %s", error)

    def load_checkpoint(self) -> None:
        """Nothing to do yet: :meth:`update_search_space`, which follows, reads the journal."""

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        with self._lock:
            search = self._started()
            self._release_silent(search)
            suggestion = search.ask() or self._suggest_inherited(search)
            if suggestion is None:
                reason = search.failures.stop_reason or "all blocks of the space are trained"
                _logger.error("The search ends: %s", reason)
                raise nni.NoMoreTrialError(reason)
            self._journal.append(suggestion_event(suggestion), durable=True)
            self._running[parameter_id] = suggestion.episode
            return trial_parameters(search.space, suggestion)

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any
    ) -> None:
        with self._lock:
            search = self._started()
            try:
                if (failed := parse_failure(value, search.space.encoding)) is not None:
                    failure = search.fail(*failed)
                    _logger.warning("Episode %d failed: %s", failure.episode, failure.reason)
                    self._journal.append(failure_event(failure), durable=True)
                    return
                metric = parse_final_metric(value, search.space.encoding)
                if _has_counted(metric, search.history):
                    _logger.debug("Episode %d counted by its trial's file", metric.episode)
                    return
                result = search.check_result(
                    metric.episode, metric.block, metric.reward, metric.values
                )
            except (MetricError, UncountableError) as error:
                _logger.warning("A result does not count: %s; it was %s", error, shown(value, 400))
            else:
                self._journal.append(result_event(result), durable=True)
                search.learn(result)
                search.prepare()  # here, so that the next suggestion need not wait for it
                if len(search.history) % SNAPSHOT_INTERVAL == 0:
                    self._save_snapshot(search)

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        """A hint only: the id may be another trial's, and the result may still come."""
        with self._lock:
            episode = self._running.pop(parameter_id, None)
            if episode is None:
                return
            if success:
                self._ended.append(episode)
            else:
                search = self._started()
                self._count_kept(search)
                self._release(search, episode, failed=True)

    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Learn from results of this experiment before a restart, or of another one."""
        with self._lock:
            for record in data or ():
                self._import_one(record.get("value") if isinstance(record, dict) else record)

    def _import_one(self, value: Any) -> None:
        search = self._started()
        try:
            metric = parse_final_metric(value, search.space.encoding)
            result = search.import_result(
                metric.episode, metric.block, metric.repeats, metric.reward, metric.values
            )
        except (MetricError, OtherCostError) as error:
            _logger.warning("An imported result does not count: %s", error)
        except UncountableError as error:
            _logger.debug("An imported result is not new: %s", error)
        else:
            self._journal.append(result_event(result))  # NNI imports it again after a restart

    def _count_kept(self, search: BlockSearch) -> None:
        """Count what local trials kept before they, or NNI, were killed and could not report it.

        NNI runs such a trial again at most once (docs/faults.md).
        """
        for value in self._kept.new() if self._kept is not None else ():
            try:
                metric = parse_final_metric(value, search.space.encoding)
                result = search.check_result(
                    metric.episode, metric.block, metric.reward, metric.values
                )
            except (MetricError, UncountableError):
                continue
            _logger.info("Episode %d counts by the file that its trial kept", result.episode)
            self._journal.append(result_event(result), durable=True)
            search.learn(result)

    def _miss(self, episodes: set[int]) -> None:
        """Look on the hosts for the results of trials of which nothing was heard."""
        self._lost |= episodes
        if self._lost and self._fetcher is not None:
            self._fetcher.wish()

    def _count_fetched(self) -> bool:
        """Count what has come from hosts; whether there may be more. Called by the fetcher.

        NNI may have named another trial than the one that was lost, and that one's result may be
        here by now. So what counts as well is that fewer trials run than episodes are under way.
        """
        with self._lock:
            search = self._started()
            self._count_kept(search)
            self._lost.difference_update(result.episode for result in search.history)
            return bool(self._lost) or len(self._under_way(search)) > len(self._running)

    def _release_silent(self, search: BlockSearch) -> None:
        """Release the episodes of trials that ended without a result.

        No sooner than a new block is asked for: the last result of a trial may come after its end.
        As many as are under way beyond the trials that run, first those that NNI says have ended.
        """
        under_way = self._under_way(search)
        surplus = max(0, len(under_way) - len(self._running))
        under_way.sort(key=lambda episode: (episode not in self._ended, episode))
        for episode in under_way[:surplus]:
            self._release(search, episode)
        self._ended = [episode for episode in self._ended if episode in under_way[surplus:]]

    def _under_way(self, search: BlockSearch) -> list[int]:
        """The episodes that were handed out since the start and have come to no end."""
        return [episode for episode in search.under_way if episode not in self._inherited]

    def _suggest_inherited(self, search: BlockSearch) -> Suggestion | None:
        """What else there is once all episodes from before a restart count as lost.

        NNI runs their trials again but says nothing of their end, and forgets the queued ones.
        """
        lost = self._inherited.intersection(search.under_way)
        self._inherited.clear()
        for episode in sorted(lost):
            self._release(search, episode)
        return search.ask() if lost else None

    def _release(self, search: BlockSearch, episode: int, *, failed: bool = False) -> None:
        if episode in search.under_way:
            search.release(episode)
            self._miss({episode})
            if failed:
                search.failures.add_silent()
            self._journal.append(release_event(episode, failed=failed))

    def _started(self) -> BlockSearch:
        if self._search is None:
            raise RuntimeError("update_search_space must come before every other call")
        return self._search

    @collection_paused()
    def _rebuild(self, space: SearchSpace) -> None:
        """The search in this space, with the past that the journal holds."""
        checkpoint = self.get_checkpoint_path()
        restarted = self._search is None
        if restarted and checkpoint:
            path = Path(checkpoint) / JOURNAL_NAME
            lock_journal(path)
            self._journal = Journal(path)
            experiment = Path(checkpoint).parent
            self._kept = KeptResults(experiment)
            self._fetcher = Fetcher(
                partial(_machines, experiment), experiment, RESULT_NAME, self._count_fetched
            )
        events = self._journal.events
        seed = self._seed(events)
        arguments = {name: v for name, v in self._class_args.items() if name != "seed"}
        search = BlockSearch(space, seed=seed, **arguments)
        if (snapshot := self._snapshot()) and isinstance(search.agent, QAgent):
            load_snapshot(snapshot, search.agent, self._journal, self._learning_of(search))
        for event in events:
            replay_event(event, search)
        self._search = search
        if restarted and search.next_episode:
            self._count_kept(search)
            self._inherited = set(search.under_way)
            self._miss(self._inherited)
            self._journal.append(restart_event())
            search.failures.end_streak()
        if search.history:
            _logger.info(
                "BlockQNN goes on: %d episodes handed out, %d results counted",
                search.next_episode,
                len(search.history),
            )

    def _snapshot(self) -> Path | None:
        return self._journal.path and self._journal.path.with_name(SNAPSHOT_NAME)

    def _save_snapshot(self, search: BlockSearch) -> None:
        if (snapshot := self._snapshot()) and isinstance(search.agent, QAgent):
            save_snapshot(snapshot, search.agent, self._journal, self._learning_of(search))

    def _learning_of(self, search: BlockSearch) -> str:
        """All that decides what the agent learns from the journal, which has the seed."""
        arguments = search.arguments
        return f"{search.space} {arguments.settings} {arguments.optimize_mode}"

    def _seed(self, events: list[dict[str, Any]]) -> int:
        """The journal's, or else the one given, or a new one."""
        for event in events:
            if event.get("event") == "start":
                return int(event["seed"])
        seed = self._class_args.get("seed", secrets.randbelow(2**31))
        _logger.info("BlockQNN starts with seed %d and the arguments %s", seed, self._class_args)
        self._journal.append({"event": "start", "seed": seed})
        return seed


def _machines(experiment: Path) -> list[Machine]:
    """Where the trials of an experiment run over SSH; none if they run here."""
    if not database_in(experiment).is_file():
        return []
    return machines_of_record(read_profile(experiment).config)


def _has_counted(metric: FinalMetric, history: Sequence[Result]) -> bool:
    """Whether the very same result is in the history.

    A trial keeps its result before it reports it; if another one dies meanwhile, it counts early.
    """
    reported = (metric.episode, metric.reward)
    return any((result.episode, result.reward) == reported for result in history)
