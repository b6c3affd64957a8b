"""Numbers by series in Prometheus' text format.

Series of one family stand together under their kind and meaning. It knows nothing of who counted them.

Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

from collections.abc import Mapping
from typing import Final

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
HISTOGRAMS: Final = frozenset(("p402_request_seconds", "p402_overhead_seconds"))
_PARTS: Final = ("_bucket", "_sum", "_count")

HELP: Final = {
    "p402_workers": "Worker processes that serve.",
    "p402_in_flight": "Rounds under way: sent to a provider and not ended.",
    "p402_requests_total": "Rounds by how they ended, requests turned away, and those the cache answered.",
    "p402_cache_hits_total": "Requests that the cache answered, by tier: exact repeats, or alike in meaning.",
    "p402_guard_refusals_total": "Requests that the spending guard turned away, by layer.",
    "p402_attempts_total": "Calls of providers, by how they ended.",
    "p402_failovers_total": "Calls sent to another arm after one failed, by the provider that failed.",
    "p402_failovers_denied_total": "Failures that were the last word since no budget of failovers was left.",
    "p402_peers_exchanges_total": "Times that workers told each other what they saw of providers.",
    "p402_peers_failed_total": "Of these, those that failed: the worker went by what it saw itself.",
    "p402_peers_heard_total": "Words of other workers that were heard.",
    "p402_sessions_recalls_total": "Requests for which another worker's word on their session was looked up.",
    "p402_sessions_found_total": "Of these, those that found one.",
    "p402_sessions_again_total": "Look-ups made again, for a word that was on its way.",
    "p402_sessions_failed_total": "Look-ups that failed or came too late: the worker went by what it knew.",
    "p402_sessions_notes_total": "Words on sessions to be left for other workers.",
    "p402_sessions_dropped_total": "Of these, those that were not left.",
    "p402_cache_lookups_total": "Requests for which the cache of all hosts was asked.",
    "p402_cache_failed_total": "Times that its Redis failed or came too late: the request was sent on.",
    "p402_cache_late_total": "Look-ups that ended without a vector, or because it came too late.",
    "p402_cache_gone_total": "Prompts found near whose answer Redis had no more.",
    "p402_cache_prompts_read_total": "Prompts of scopes that were read behind a look-up.",
    "p402_cache_kept_total": "Answers that Redis took.",
    "p402_cache_dropped_total": "Answers that were to be kept and were not.",
    "p402_cache_known_prompts": "Prompts that workers compare in memory.",
    "p402_cache_known_bytes": "What those take, about.",
    "p402_cache_embeds_total": "Prompts that became a vector in time.",
    "p402_cache_embeds_late_total": "Prompts that did not, or would not have.",
    "p402_cache_embeds_full_total": "Prompts of which too many waited already.",
    "p402_cache_embeds_failed_total": "Prompts at which the embedder failed.",
    "p402_cache_embeds_too_long_total": "Prompts of more tokens than are embedded.",
    "p402_cache_embeds_unknown_total": "Prompts with a part that the embedder's vocabulary lacks.",
    "p402_cache_embeds_seconds_total": "For how long the embedder's thread had a core.",
    "p402_cache_embeds_tokens_total": "Tokens that were done in that time.",
    "p402_http_answers_total": "Answers of the data plane by HTTP status.",
    "p402_anomalies_total": "Calls whose cost was out of line with their tenant's past (layer 4).",
    "p402_cost_usd_total": "What providers' calls cost, without fees.",
    "p402_unpriced_total": "Rounds whose cost is unknown, and in no sum.",
    "p402_log_refusals_total": "Rows that the decision log would not take.",
    "p402_request_seconds": "From a request's first byte to the end of its round.",
    "p402_overhead_seconds": "Of that, what no provider was waited for.",
    "p402_alerts_queued_total": "Alerts that became a message to a webhook.",
    "p402_alerts_folded_total": "Alerts told of as a number within another's message.",
    "p402_alerts_delivered_total": "Messages that a webhook took.",
    "p402_alerts_failed_tries_total": "Tries that a webhook did not take.",
    "p402_alerts_dropped_total": "Alerts that no webhook took: no room, tries spent, or a stop.",
    "p402_alerts_waiting": "Messages neither delivered nor dropped.",
    "p402_guard_operations_total": "What the ledger was asked and has done.",
    "p402_guard_groups_total": "Transactions that took.",
    "p402_guard_refused_by_state_total": "Reservations refused because the ledger could not be used.",
    "p402_guard_shared_granted_total": "Calls that Redis granted.",
    "p402_guard_shared_from_lease_total": "Calls that a lease paid for, since Redis gave no verdict.",
    "p402_guard_shared_refused_by_state_total": "Calls refused since neither Redis nor a lease served.",
    "p402_guard_shared_reports_total": "Times that this host told Redis its position.",
    "p402_guard_shared_forgotten_total": "Times that Redis knew nothing of a tenant, or went back.",
    "p402_guard_unsettled_total": "Settlements given up: their holds expire as charged.",
}
"""Of a family that is not here, the name alone says what it is."""


def family_of(series: str) -> str:
    """The metric that a series belongs to."""
    name = series.partition("{")[0]
    for part in _PARTS:
        if name.endswith(part) and name.removesuffix(part) in HISTOGRAMS:
            return name.removesuffix(part)
    return name


def kind_of(family: str) -> str:
    """Prometheus' type of a metric."""
    if family in HISTOGRAMS:
        return "histogram"
    return "counter" if family.endswith("_total") else "gauge"


def exposition(numbers: Mapping[str, float]) -> bytes:
    """The page that is scraped."""
    families: dict[str, list[str]] = {}
    for series, number in numbers.items():
        families.setdefault(family_of(series), []).append(f"{series} {number!r}")
    lines: list[str] = []
    for family in sorted(families):
        if family in HELP:
            lines.append(f"# HELP {family} {HELP[family]}")
        lines += (f"# TYPE {family} {kind_of(family)}", *families[family])
    return "".join(f"{line}\n" for line in lines).encode()
