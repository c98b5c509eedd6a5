COPY (
    WITH paired AS (
        SELECT
            q.*,
            CASE WHEN q.worked THEN q.action WHEN p.best.action <> q.action THEN p.best.action ELSE p.second END AS better,
            CASE WHEN NOT q.worked THEN q.action WHEN p.worst.action <> q.action THEN p.worst.action ELSE p.last_but_one END
                AS worse
        FROM question AS q JOIN precedents AS p USING (probe)
    )
    SELECT
        concat('choice/', case_id) AS id,
        case_id,
        split,
        prompt,
        c.told AS chosen,
        r.told AS rejected,
        asked_at AS "at",
        {
            'delay': fact_delay,
            'disruption': fact_disruption,
            'place': fact_place,
            'shipment': fact_shipment,
            'option': {'chosen': c.fact, 'rejected': r.fact}
        } AS facts,
        list_concat(
            sources_before,
            list_sort(list_concat(c.anchors, r.anchors, [source('shipping.shipment_delays', case_id)])),
            sources_after
        ) AS sources
    FROM paired AS p
    JOIN options AS c ON c.probe = p.probe AND c.action = p.better
    JOIN options AS r ON r.probe = p.probe AND r.action = p.worse
    WHERE c.low90 > r.high90
) TO '{choice}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480);
