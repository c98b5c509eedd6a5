-- The cases of narratives/canal_exceptions, by hand: links, facts in both views of time, outcome, drops.
-- A question's view of a list is taken where it is read, from the times that its rows bear.
COPY (
    WITH consignees AS (
        SELECT consignee, 'p-' || left(sha256(getvariable('pseudonym_key') || '|' || consignee), 12) AS pseudonym
        FROM (SELECT DISTINCT consignee FROM shipments)
    ),

    -- Few disruptions, many delays: each delay looks through those of its waterway.
    disrupted AS (
        SELECT
            waterway,
            list(
                {
                    started_at: started_at, disruption_id: disruption_id, citation_publisher: citation_publisher,
                    citation_title: citation_title, ended_at: ended_at, kind: kind, severity: severity, title: title,
                    cited_at: cited_at
                }
                ORDER BY started_at, disruption_id
            ) AS disruption
        FROM disruptions
        GROUP BY waterway
    ),

    -- The rows sort by their first fields; an ordered aggregate takes six times as long.
    resolved AS (
        SELECT
            delay_id,
            list_sort(list({
                decided_at: decided_at, resolution_id: resolution_id, action_code: action_code,
                cost_usd: cost_usd, settled_at: settled_at
            })) AS resolution
        FROM delays
        JOIN resolutions
            ON resolutions.shipment_id = delays.shipment_id
            AND decided_at BETWEEN detected_at AND detected_at + INTERVAL 30 DAY
        GROUP BY delay_id
    ),

    linked AS (
        SELECT
            delays.*,
            CASE WHEN shipments.shipment_id IS NOT NULL THEN {
                booked_at: booked_at, shipment_id: shipments.shipment_id, cargo_type: cargo_type, carrier: carrier,
                consignee: pseudonym, container_count: container_count, destination: destination, origin: origin,
                vessel_imo: vessel_imo, vessel_name: vessel_name
            } END AS shipment,
            CASE WHEN un_locode IS NOT NULL
                THEN {un_locode: un_locode, country_name: country_name, name: ports.name} END AS place,
            list_filter(
                coalesce(disruption, []),
                lambda row: row.started_at <= detected_at + INTERVAL 2 DAY
                    AND (row.ended_at IS NULL OR row.ended_at >= detected_at - INTERVAL 2 DAY)
            ) AS disruption,
            coalesce(resolution, []) AS resolution,
            resolution[-1] AS last_step,
            expected_delay_hours - final_delay_hours AS recovered_hours
        FROM delays
        LEFT JOIN shipments USING (shipment_id)
        LEFT JOIN consignees USING (consignee)
        LEFT JOIN ports ON ports.un_locode = delays.location
        LEFT JOIN disrupted USING (waterway)
        LEFT JOIN resolved USING (delay_id)
    ),

    judged AS (
        SELECT
            *,
            arrived_at IS NOT NULL AND last_step.action_code IS NOT NULL AND recovered_hours IS NOT NULL AS is_judged,
            list_filter(resolution, lambda step: step.decided_at <= detected_at)[-1] AS asked_step
        FROM linked
    )

    SELECT
        delay_id AS case_id,
        detected_at AS at,
        arrived_at AS closes,
        {
            detected_at: detected_at, delay_id: delay_id, arrived_at: arrived_at, cause: cause, delay_code: delay_code,
            expected_delay_hours: expected_delay_hours, final_delay_hours: final_delay_hours,
            shipment_id: shipment_id, waterway: waterway
        } AS delay,
        shipment,
        place,
        disruption,
        resolution,
        CASE WHEN shipment IS NULL THEN 'shipment: none' END AS dropped,
        NULL::VARCHAR AS question_dropped,
        {recovered_hours: recovered_hours, last_step: last_step} AS hindsight,
        {
            last_step: CASE WHEN asked_step IS NOT NULL THEN {
                decided_at: asked_step.decided_at, resolution_id: asked_step.resolution_id,
                action_code: asked_step.action_code,
                cost_usd: CASE WHEN asked_step.settled_at <= detected_at THEN asked_step.cost_usd END,
                settled_at: CASE WHEN asked_step.settled_at <= detected_at THEN asked_step.settled_at END
            } END
        } AS question,
        {waterway: waterway, cargo_type: CASE WHEN shipment.booked_at <= detected_at THEN shipment.cargo_type END}
            AS match,
        CASE WHEN is_judged THEN
            {action: last_step.action_code, score: recovered_hours, worked: recovered_hours >= 24} END AS outcome,
        CASE WHEN arrived_at IS NULL THEN 'open' WHEN is_judged THEN 'judged' ELSE 'unjudged' END AS status,
        CASE WHEN is_judged THEN greatest(detected_at, arrived_at, last_step.decided_at) END AS known
    FROM judged
) TO '$out/cases$block.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480);

-- The split of each case: its own, unless its shipment's cases cross a cut or it closes inside the embargo.
COPY (
    WITH placed AS (
        SELECT
            case_id, closes,
            CASE WHEN told.at < TIMESTAMP '2024-01-01' THEN 0 WHEN told.at < TIMESTAMP '2024-07-01' THEN 1 ELSE 2 END AS rank,
            coalesce(shipment.shipment_id, case_id) AS together
        FROM '$out/cases$block.parquet' AS told
    ),

    components AS (
        SELECT together, min(case_id) AS component, max(rank) AS reached FROM placed GROUP BY together
    ),

    dropping AS (
        SELECT
            case_id, rank, component,
            CASE
                WHEN rank < reached THEN 'straddles'
                WHEN rank = 0 AND (closes IS NULL OR closes > TIMESTAMP '2024-01-01' - INTERVAL 14 DAY) THEN 'embargo'
                WHEN rank = 1 AND (closes IS NULL OR closes > TIMESTAMP '2024-07-01' - INTERVAL 14 DAY) THEN 'embargo'
            END AS dropped
        FROM placed JOIN components USING (together)
    )

    SELECT
        case_id,
        CASE WHEN dropped IS NULL THEN ['train', 'validation', 'test'][rank + 1] END AS split,
        dropped,
        component
    FROM dropping
) TO '$out/splits$block.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480);
