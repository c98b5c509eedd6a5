-- One row a delay, with what is linked to it, what came of it, and its split. Rows that no dataset keeps stay, without
-- a split, as in storymesh's cases. Structs and lists carry what records print and name, nothing more.
COPY (
    WITH
    -- Between two cuts the list of disruptions of a waterway does not change, so a case needs one look-up, no group.
    cuts AS (
        SELECT waterway, started_at - INTERVAL 2 DAY AS cut FROM disruptions
        UNION
        SELECT waterway, ended_at + INTERVAL 2 DAY + INTERVAL 1 MICROSECOND FROM disruptions WHERE ended_at IS NOT NULL
    ),
    at_the_time AS (
        SELECT
            cuts.waterway,
            cuts.cut,
            list({
                'started_at': d.started_at, 'disruption_id': d.disruption_id, 'title': d.title, 'kind': d.kind,
                'severity': d.severity, 'ended_at': d.ended_at, 'citation_publisher': d.citation_publisher,
                'citation_title': d.citation_title
            }).list_sort() AS disruption
        FROM cuts JOIN disruptions AS d
        ON d.waterway = cuts.waterway
            AND d.started_at - INTERVAL 2 DAY <= cuts.cut
            AND (d.ended_at IS NULL OR d.ended_at + INTERVAL 2 DAY >= cuts.cut)
        GROUP BY ALL
        UNION ALL
        SELECT waterway, cut, [] FROM cuts ANTI JOIN disruptions AS d
        ON d.waterway = cuts.waterway
            AND d.started_at - INTERVAL 2 DAY <= cuts.cut
            AND (d.ended_at IS NULL OR d.ended_at + INTERVAL 2 DAY >= cuts.cut)
    ),
    steps AS (
        -- `list(x ORDER BY y)` costs six times as much as a sort of each short list.
        SELECT
            d.delay_id,
            list({
                'decided_at': r.decided_at, 'resolution_id': r.resolution_id, 'action_code': r.action_code,
                'cost_usd': r.cost_usd
            }).list_sort() AS resolution
        FROM shipment_delays AS d JOIN resolutions AS r
        ON r.shipment_id = d.shipment_id
            AND r.decided_at >= d.detected_at AND r.decided_at <= d.detected_at + INTERVAL 30 DAY
        GROUP BY d.delay_id
    ),
    -- All cases of one shipment are told in one split.
    together AS (
        SELECT s.shipment_id, max(d.detected_at) AS newest
        FROM shipment_delays AS d JOIN shipments AS s USING (shipment_id)
        GROUP BY s.shipment_id
    ),
    linked AS (
        SELECT
            d.delay_id AS case_id,
            d.detected_at AS asked_at,
            d.arrived_at AS closes,
            d.shipment_id, d.waterway, d.location, d.delay_code, d.cause, d.expected_delay_hours, d.final_delay_hours,
            s.booked_at, s.cargo_type, s.carrier, s.container_count, s.destination, s.origin, s.vessel_imo,
            s.vessel_name,
            p.name AS place_name,
            p.country_name AS place_country,
            coalesce(a.disruption, []) AS disruption,
            coalesce(steps.resolution, []) AS resolution,
            steps.resolution[-1] AS last_step,
            (d.expected_delay_hours - d.final_delay_hours)::DECIMAL(38, 2) AS recovered_hours,
            s.shipment_id IS NOT NULL AS has_shipment,  -- without one hindsight has no case, but a question has
            CASE WHEN d.detected_at < '2024-01-01' THEN 0 WHEN d.detected_at < '2024-07-01' THEN 1 ELSE 2 END AS split_no,
            CASE
                WHEN coalesce(t.newest, d.detected_at) < '2024-01-01' THEN 0
                WHEN coalesce(t.newest, d.detected_at) < '2024-07-01' THEN 1
                ELSE 2
            END AS newest_split_no
        FROM shipment_delays AS d
        LEFT JOIN shipments AS s ON s.shipment_id = d.shipment_id
        LEFT JOIN ports AS p ON p.un_locode = d.location
        LEFT JOIN steps ON steps.delay_id = d.delay_id
        LEFT JOIN together AS t ON t.shipment_id = d.shipment_id
        ASOF LEFT JOIN at_the_time AS a ON a.waterway = d.waterway AND a.cut <= d.detected_at
    )
    SELECT
        * EXCLUDE (last_step, newest_split_no),
        closes IS NOT NULL AND last_step IS NOT NULL AND recovered_hours IS NOT NULL AS judged,
        CASE WHEN judged THEN last_step.action_code END AS action,
        CASE WHEN judged THEN last_step.resolution_id END AS action_key,
        CASE WHEN judged THEN recovered_hours END AS score,
        CASE WHEN judged THEN recovered_hours >= 24 END AS worked,
        CASE WHEN judged THEN greatest(asked_at, closes, last_step.decided_at) END AS known,
        -- A shipment booked later is not known when the question is asked.
        CASE WHEN booked_at <= asked_at THEN cargo_type END AS asked_cargo,
        CASE
            WHEN split_no < newest_split_no THEN NULL
            WHEN split_no = 0 AND (closes IS NULL OR closes > TIMESTAMP '2024-01-01' - INTERVAL 14 DAY) THEN NULL
            WHEN split_no = 1 AND (closes IS NULL OR closes > TIMESTAMP '2024-07-01' - INTERVAL 14 DAY) THEN NULL
            ELSE ['train', 'validation', 'test'][split_no + 1]
        END AS split
    FROM linked
) TO '{cases}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480);
