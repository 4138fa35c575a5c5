package pg

// ByIndexSQL begins a batch whose statements find their rows by index, one by one. A plan is kept for as long as its connection, so it must be right for every
// size that a table may come to; and since one plan is right for all, none is made for the parameters of one call, which Postgres would do again and again. It is
// said here and not to the connection, so that it holds behind a pooler too. The settings end with the transaction, which that of a batch is if it is in no other.
const ByIndexSQL = `
SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('jit', 'off', true)`
