COPY (
    SELECT
        concat('advice/', case_id) AS id,
        case_id,
        split,
        [
            {'role': 'system', 'content': concat(
                'You advise the control tower of a shipping company. You know what was known on ', day_of(asked_at),
                ' and nothing later. You name what worked in earlier cases and what did not, with the numbers behind it, ',
                'and you say so when there are too few.'
            )},
            {'role': 'user', 'content': prompt},
            {'role': 'assistant', 'content': concat(
                replace(advice, '{choose}', ['tried', 'used'][draw(case_id, ':advise.md.jinja:0', 2)]), chr(10),
                'In this case the last step was to ', l.words,
                CASE WHEN q.worked THEN '. It worked: at least 24 hours were recovered.'
                ELSE '. It did not work: fewer than 24 hours were recovered.' END
            )}
        ] AS messages,
        asked_at AS "at",
        {
            'case': {'at': asked_at},
            'delay': fact_delay,
            'disruption': fact_disruption,
            'outcome': {'action': q.action},
            'place': fact_place,
            'precedents': p.fact,
            'shipment': fact_shipment
        } AS facts,
        list_concat(
            sources_before,
            list_sort(list_append(p.anchors, source('shipping.shipment_delays', case_id))),
            sources_after
        ) AS sources
    FROM question AS q
    JOIN (
        SELECT
            probe,
            advice,
            {
                'best': CASE WHEN best IS NOT NULL THEN {
                    'action': best.action,
                    'quoted': list_transform(best.quoted, lambda q: {'at': q.at, 'id': q.id, 'score': q.score})
                } END,
                'options': list_transform(options, lambda o: {
                    'action': o.action, 'mean_score': o.mean_score, 'rate': o.rate, 'tried': o.tried, 'worked': o.worked
                }),
                'tried': tried,
                'worst': CASE WHEN worst IS NOT NULL THEN {'action': worst.action} END
            } AS fact,
            coalesce(list_transform(best.quoted, lambda q: source('shipping.shipment_delays', q.id)), []) AS anchors
        FROM precedents
    ) AS p USING (probe)
    JOIN label AS l ON l.kind = 'action_code' AND l.code = q.action
) TO '{advice}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480);
