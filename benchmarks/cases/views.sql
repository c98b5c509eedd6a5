-- What a peer's files say, flat, to be compared: `told_` as hindsight sees it, `asked_` as a question does.
CREATE VIEW peer_cases AS
SELECT
    case_id,
    cases.at AS moment,
    closes,
    dropped,
    question_dropped,
    status,
    known,
    cases.match.waterway AS match_waterway,
    cases.match.cargo_type AS match_cargo_type,
    outcome.action AS action,
    outcome.score::DECIMAL(38, 2) AS score,
    outcome.worked AS worked,
    hindsight.recovered_hours::DECIMAL(38, 2) AS told_recovered_hours,
    hindsight.last_step AS told_last_step,
    question.last_step AS asked_last_step,
    delay AS told_delay,
    shipment AS told_shipment,
    place AS told_place,
    disruption AS told_disruption,
    resolution AS told_resolution,
    {
        detected_at: delay.detected_at, delay_id: delay.delay_id, arrived_at: NULL::TIMESTAMP, cause: delay.cause,
        delay_code: delay.delay_code, expected_delay_hours: delay.expected_delay_hours,
        final_delay_hours: NULL::DECIMAL(8, 2), shipment_id: delay.shipment_id, waterway: delay.waterway
    } AS asked_delay,
    CASE WHEN shipment.booked_at <= cases.at THEN shipment END AS asked_shipment,
    place AS asked_place,
    list_transform(
        list_filter(disruption, lambda row: row.started_at <= cases.at),
        lambda row: {
            started_at: row.started_at, disruption_id: row.disruption_id,
            citation_publisher: CASE WHEN row.cited_at <= cases.at THEN row.citation_publisher END,
            citation_title: CASE WHEN row.cited_at <= cases.at THEN row.citation_title END,
            ended_at: CASE WHEN row.ended_at <= cases.at THEN row.ended_at END,
            kind: row.kind, severity: row.severity, title: row.title,
            cited_at: CASE WHEN row.cited_at <= cases.at THEN row.cited_at END
        }
    ) AS asked_disruption,
    list_transform(
        list_filter(resolution, lambda row: row.decided_at <= cases.at),
        lambda row: {
            decided_at: row.decided_at, resolution_id: row.resolution_id, action_code: row.action_code,
            cost_usd: CASE WHEN row.settled_at <= cases.at THEN row.cost_usd END,
            settled_at: CASE WHEN row.settled_at <= cases.at THEN row.settled_at END
        }
    ) AS asked_resolution
FROM '$out/cases*.parquet' AS cases;

CREATE VIEW peer_splits AS SELECT case_id, split, dropped, component FROM '$out/splits*.parquet';

CREATE VIEW peer_precedents AS
SELECT
    case_id,
    precedents.enough AS enough,
    precedents.level::BIGINT AS level,
    precedents.tried::BIGINT AS tried,
    $best AS best,
    $worst AS worst,
    $options AS options
FROM '$out/precedents.parquet';
