"""Which rounds of the log are evidence for the weights of balanced mode.

Only rounds that chance took part in: balanced mode, exploration on, not merely observed. What each
was worth is said by `p402.learner.rounds`. It knows nothing of snapshots or of weights.
"""

from typing import Final

_USABLE: Final = """
    d.inputs.mode = 'balanced' AND d.inputs.explore IS DISTINCT FROM FALSE AND NOT d.observe
    AND d.arm IS NOT NULL AND d."count" > 0 AND d.ts_ms >= $1 AND d.ts_ms < $2
"""

COUNT: Final = f"SELECT count(*) FROM decisions d WHERE {_USABLE}"  # noqa: S608 - our own text

ROUNDS: Final = f"""
WITH said AS (
    SELECT tenant, id,
           list({{'source': source, 'status': status, 'quality': quality, 'ts_ms': ts_ms}}
                ORDER BY ts_ms, source) AS said
    FROM rewards GROUP BY tenant, id
)
SELECT d.worker, d.live_seq, d.snapshot, d.id, d.inputs, d.tenant, d.session, d.task, d.arm, d."count",
       d.simulated, o.attempts[1] AS first, o.direct_nano, r.said
FROM decisions d
LEFT JOIN outcomes o ON o.id = d.id AND o.tenant = d.tenant
LEFT JOIN said r ON r.id = d.id AND r.tenant = d.tenant
WHERE {_USABLE} AND md5(concat(d.tenant, chr(31), d.session)) < $3
"""  # noqa: S608 - our own text
