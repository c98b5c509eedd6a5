COPY (
    WITH
    told AS (
        SELECT
            c.*,
            waterway.words AS waterway_words,
            cargo.words AS cargo_words,
            code.words AS code_words,
            cause.words AS cause_words,
            action.words AS action_words,
            -- An empty list makes no text, so that no CASE stands around a lambda.
            array_to_string(list_transform(disruption, lambda e: concat(
                '- ', e.title, ' (', kinds[e.kind], ', ', severities[e.severity], '), from ', day_of(e.started_at),
                concat(' to ' || day_of(e.ended_at)), '. Source: ', e.citation_publisher, ', ', e.citation_title, '.',
                chr(10)
            )), '') AS events,
            array_to_string(list_transform(resolution, lambda s, i: concat(
                i, '. ', day_of(s.decided_at), ': ', actions[s.action_code],
                coalesce(
                    format(', at a cost of {:,.2f} US dollars', s.cost_usd::DOUBLE), ', the cost not yet settled'
                ), '.', chr(10)
            )), '') AS steps
        FROM cases AS c
        CROSS JOIN labels
        LEFT JOIN label AS waterway ON waterway.kind = 'waterway' AND waterway.code = c.waterway
        LEFT JOIN label AS cargo ON cargo.kind = 'cargo_type' AND cargo.code = c.cargo_type
        LEFT JOIN label AS code ON code.kind = 'delay_code' AND code.code = c.delay_code
        LEFT JOIN label AS cause ON cause.kind = 'cause' AND cause.code = c.cause
        LEFT JOIN label AS action ON action.kind = 'action_code' AND action.code = c.action
        WHERE split IS NOT NULL AND has_shipment
    )
    SELECT
        concat('report/', case_id) AS id,
        case_id,
        split,
        concat(
            '# ', waterway_words, ', ', day_of(asked_at), ': ', cargo_words, ' ',
            ['held up', 'delayed', 'stuck'][draw(case_id, ':report.md.jinja:0', 3)], chr(10), chr(10),
            'Shipment ', shipment_id, ', ', counted(container_count, ' container'), ' of ', cargo_words, ' from ', origin,
            ' to ', destination, ' with ', carrier, ' on the ', vessel_name, ' (IMO ', vessel_imo, '), was reported late',
            ' near ' || place_name || ', ' || place_country || ',', ' on ', day_of(asked_at), ' at ',
            strftime(asked_at, '%H:%M'), ' UTC. The estimate was ', duration(expected_delay_hours),
            '; the reason given was ', lower(code_words), ' (', cause_words, ').', chr(10), chr(10),
            CASE WHEN events = '' THEN
                concat('No disruption of the ', waterway_words, ' is on record for that time.', chr(10))
            ELSE
                concat(
                    ['What was going on there at the time:', 'The waterway at that time:']
                        [draw(case_id, ':report.md.jinja:1', 2)],
                    chr(10), chr(10), events
                )
            END,
            chr(10),
            CASE WHEN steps = '' THEN concat('The control tower decided nothing within 30 days.', chr(10))
            ELSE concat('What the control tower did:', chr(10), chr(10), steps) END,
            chr(10),
            CASE WHEN closes IS NULL OR final_delay_hours IS NULL THEN 'It had not arrived when this was written.'
            ELSE
                concat(
                    'It arrived on ', day_of(closes),
                    CASE WHEN final_delay_hours > 0 THEN concat(', ', duration(final_delay_hours), ' late.')
                    ELSE ', not late after all.' END,
                    CASE
                        WHEN recovered_hours > 0 THEN
                            concat(' That is ', duration(recovered_hours), ' better than first estimated.')
                        WHEN recovered_hours < 0 THEN
                            concat(' That is ', duration(-recovered_hours), ' worse than first estimated.')
                        ELSE ' That is what was estimated at first.'
                    END,
                    CASE WHEN judged THEN concat(
                        ' ', capital(action_words), ' ',
                        ['counts here as a step that', 'is held to be a step that']
                            [draw(case_id, ':report.md.jinja:2', 2)],
                        CASE WHEN worked THEN ' worked.' ELSE ' did not work.' END
                    ) END
                )
            END
        ) AS text,
        asked_at AS "at",
        {
            'delay': {
                'arrived_at': closes, 'cause': cause, 'delay_code': delay_code, 'detected_at': asked_at,
                'expected_delay_hours': expected_delay_hours, 'final_delay_hours': final_delay_hours,
                'shipment_id': shipment_id, 'waterway': waterway
            },
            'disruption': list_transform(disruption, lambda e: {
                'citation_publisher': e.citation_publisher, 'citation_title': e.citation_title, 'ended_at': e.ended_at,
                'kind': e.kind, 'severity': e.severity, 'started_at': e.started_at, 'title': e.title
            }),
            'outcome': CASE WHEN judged THEN {'action': action} END,
            'place': CASE WHEN place_name IS NOT NULL THEN {'country_name': place_country, 'name': place_name} END,
            'recovered_hours': recovered_hours,
            'resolution': list_transform(resolution, lambda s: {
                'action_code': s.action_code, 'cost_usd': s.cost_usd, 'decided_at': s.decided_at
            }),
            'shipment': {
                'cargo_type': cargo_type, 'carrier': carrier, 'container_count': container_count,
                'destination': destination, 'origin': origin, 'vessel_imo': vessel_imo, 'vessel_name': vessel_name
            }
        } AS facts,
        list_concat(
            list_transform(
                list_sort(list_transform(disruption, lambda e: e.disruption_id)), lambda k: source('canal.disruptions', k)
            ),
            list_transform(
                list_sort(list_transform(resolution, lambda s: s.resolution_id)),
                lambda k: source('resolutions.resolutions', k)
            ),
            CASE WHEN place_name IS NOT NULL THEN [source('shipping.ports', location)] ELSE [] END,
            [source('shipping.shipment_delays', case_id), source('shipping.shipments', shipment_id)]
        ) AS sources
    FROM told
) TO '{report}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480);
