package providers

import "strings"

// owedBeyond is an SQL expression: how many millionths of SCH a provider owes beyond what the hours behind its tokens can back at a moment,
// those that are still to come then, at the k of then; below zero where they can back more. Both are SQL expressions, which cost nothing to ask
// again.
//
// It owes what it has issued and not burned, less what waits in escrow for its credits, and less what it has defaulted on, which is
// recorded already. A class that is no longer valued keeps the k of the last epoch that did. Only pledges with something behind tokens are asked,
// and their windows only once one of them has closed: those that have ended are as many as the provider ever made.
func owedBeyond(provider, at string) string {
	return strings.NewReplacer("{provider}", provider, "{at}", at).Replace(owedBeyondSQL)
}

const owedBeyondSQL = `(
    COALESCE((SELECT -i.balance FROM accounts i WHERE i.provider_id = {provider} AND i.kind = 'issuance' AND i.asset = 'SCH'), 0)
    - COALESCE((SELECT sum(r.amount) FROM redemptions r
                WHERE r.provider_id = {provider} AND r.status IN ('requested', 'reserved', 'dispatched', 'unknown')), 0)
    - COALESCE((SELECT sum(s.sch) FROM pledges d JOIN pledge_shortfalls s ON s.pledge_id = d.id
                WHERE d.provider_id = {provider} AND d.status = 'defaulted'), 0)
    - COALESCE((
        SELECT sum(held.counted * valued.k)
        FROM (
            SELECT b.gpu_class COLLATE "default" AS gpu_class,
                   sum((1 - b.haircut) * CASE WHEN b.due_at > {at} AND class_sunset_at(b.gpu_class) > {at} THEN b.backing
                            ELSE LEAST(b.backing, GREATEST(pledge_hours_to_come(b.pledge_id, {at}) - b.earmarked, 0)) END) AS counted
            FROM pledge_positions b
            WHERE b.provider_id = {provider} AND b.live AND b.backing > 0
            GROUP BY 1
        ) AS held
        CROSS JOIN LATERAL (
            SELECT f.k FROM epochs n JOIN epoch_factors f ON f.epoch_id = n.id AND f.gpu_class = held.gpu_class
            WHERE n.effective_at <= {at} ORDER BY n.effective_at DESC LIMIT 1
        ) AS valued), 0))`
