-- The question that three configs ask, written once, with the facts and rows behind it and the precedents of its day.
CREATE OR REPLACE TEMP TABLE question AS
WITH seen AS (
    SELECT
        c.* EXCLUDE (disruption),
        c.booked_at IS NOT NULL AND c.booked_at <= c.asked_at AS shown,
        waterway.words AS waterway_words,
        cargo.words AS cargo_words,
        code.words AS code_words,
        cause.words AS cause_words,
        list_filter(disruption, lambda e: e.started_at <= asked_at) AS disruption
    FROM cases AS c
    LEFT JOIN label AS waterway ON waterway.kind = 'waterway' AND waterway.code = c.waterway
    LEFT JOIN label AS cargo ON cargo.kind = 'cargo_type' AND cargo.code = c.cargo_type
    LEFT JOIN label AS code ON code.kind = 'delay_code' AND code.code = c.delay_code
    LEFT JOIN label AS cause ON cause.kind = 'cause' AND cause.code = c.cause
    WHERE judged AND split IS NOT NULL
),
told AS (
    SELECT
        *,
        array_to_string(list_transform(disruption, lambda e: concat(
            '- ', e.title, ' (', kinds[e.kind], ', ', severities[e.severity], '), since ', day_of(e.started_at), chr(10)
        )), '') AS events
    FROM seen CROSS JOIN labels
)
SELECT
    t.case_id, t.asked_at, t.split, t.action, t.worked,
    p.probe,
    concat(
        ['A shipment is stuck.', 'A shipment is held up.', 'We have a late shipment.'][draw(case_id, ':ask.md.jinja:0', 3)],
        ' ', waterway_words, ', ', strftime(asked_at, '%-d %B %Y, %H:%M'), ' UTC', ', near ' || place_name, '.',
        chr(10), chr(10),
        CASE WHEN shown THEN concat(
            counted(container_count, ' container'), ' of ', cargo_words, ' from ', origin, ' to ', destination, ', with ',
            carrier, ' on the ', vessel_name, '.', chr(10)
        ) END,
        'Expected delay: ', duration(expected_delay_hours), '. Reason given: ', lower(code_words), ' (', cause_words, ').',
        chr(10),
        CASE WHEN events = '' THEN 'Nothing is known of a disruption of the waterway.' || chr(10)
        ELSE concat('Known of the waterway:', chr(10), events) END,
        chr(10),
        [
            'What worked last time, and what did not?',
            'What should we do? Say what worked before and what did not.'
        ][draw(case_id, ':ask.md.jinja:1', 2)]
    ) AS prompt,
    {
        'cause': cause, 'delay_code': delay_code, 'detected_at': asked_at,
        'expected_delay_hours': expected_delay_hours, 'waterway': t.waterway
    } AS fact_delay,
    list_transform(disruption, lambda e: {
        'kind': e.kind, 'severity': e.severity, 'started_at': e.started_at, 'title': e.title
    }) AS fact_disruption,
    CASE WHEN place_name IS NOT NULL THEN {'name': place_name} END AS fact_place,
    CASE WHEN shown THEN {
        'cargo_type': cargo_type, 'carrier': carrier, 'container_count': container_count, 'destination': destination,
        'origin': origin, 'vessel_name': vessel_name
    } END AS fact_shipment,
    list_concat(
        list_transform(
                list_sort(list_transform(disruption, lambda e: e.disruption_id)), lambda k: source('canal.disruptions', k)
            ),
        [source('resolutions.resolutions', action_key)],
        CASE WHEN place_name IS NOT NULL THEN [source('shipping.ports', location)] ELSE [] END
    ) AS sources_before,
    CASE WHEN shown THEN [source('shipping.shipments', shipment_id)] ELSE [] END AS sources_after
FROM told AS t
JOIN probe AS p
ON p.split_no = t.split_no AND p.day = t.asked_at::DATE AND p.waterway = t.waterway
    AND p.cargo IS NOT DISTINCT FROM t.asked_cargo;
