COPY (
    SELECT
        concat('verdict/', q.case_id) AS id,
        q.case_id,
        q.split,
        q.prompt,
        coalesce(o.told, concat(capital(l.words), '. No closed case like this one tried it before.')) AS completion,
        q.worked AS label,
        q.asked_at AS "at",
        {
            'delay': fact_delay,
            'disruption': fact_disruption,
            'place': fact_place,
            'shipment': fact_shipment,
            'option': {'own': coalesce(o.fact, {
                'action': q.action, 'mean_score': 0::DOUBLE, 'quoted': [], 'rate': 0::DOUBLE, 'tried': 0, 'worked': 0
            })}
        } AS facts,
        list_concat(
            sources_before,
            list_sort(list_append(coalesce(o.anchors, []), source('shipping.shipment_delays', q.case_id))),
            sources_after
        ) AS sources
    FROM question AS q
    JOIN label AS l ON l.kind = 'action_code' AND l.code = q.action
    LEFT JOIN options AS o ON o.probe = q.probe AND o.action = q.action
) TO '{verdict}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480);
