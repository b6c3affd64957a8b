"""A request under an `Idempotency-Key` is answered once: its first answer is kept and given again."""
