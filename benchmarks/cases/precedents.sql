-- The precedents of narratives/canal_exceptions, by hand. A precedent counts from the day after it was known, so that
-- all is done once for each probe (split, day, waterway, cargo) and never once for each case.
CREATE TEMP TABLE asking AS
SELECT
    case_id,
    CASE split WHEN 'train' THEN 0 WHEN 'validation' THEN 1 ELSE 2 END AS rank,
    cases.at::DATE AS day,
    cases.match.waterway AS waterway,
    match.cargo_type AS cargo_type
FROM '$out/cases*.parquet' AS cases JOIN '$out/splits*.parquet' USING (case_id)
WHERE split IS NOT NULL;

CREATE TEMP TABLE probes AS
SELECT row_number() OVER ()::INTEGER AS probe, * FROM (SELECT DISTINCT rank, day, waterway, cargo_type FROM asking);

-- A precedent counts for the split in whose time it was asked and every later one, whether or not it is kept.
CREATE TEMP TABLE matching AS
SELECT
    ask.rank, case_id, cases.match.waterway AS waterway, cases.match.cargo_type AS cargo_type,
    outcome.action AS action, known, outcome.score AS score, outcome.worked AS worked
FROM '$out/cases*.parquet' AS cases
JOIN (SELECT DISTINCT rank FROM probes) AS ask
    ON CASE WHEN cases.at < TIMESTAMP '2024-01-01' THEN 0 WHEN cases.at < TIMESTAMP '2024-07-01' THEN 1 ELSE 2 END
        <= ask.rank
WHERE outcome IS NOT NULL;

-- A cell is what is counted together; one number for it compares and partitions faster than four values.
CREATE TEMP TABLE strict_cells AS
SELECT row_number() OVER ()::INTEGER AS cell, * FROM (
    SELECT DISTINCT rank, waterway, cargo_type, action FROM matching WHERE cargo_type IS NOT NULL
);

CREATE TEMP TABLE loose_cells AS
SELECT row_number() OVER ()::INTEGER AS cell, * FROM (SELECT DISTINCT rank, waterway, action FROM matching);

CREATE TEMP TABLE events AS
SELECT
    strict_cells.cell AS strict_cell, loose_cells.cell AS loose_cell, case_id, known, known::DATE AS known_day,
    score, worked
FROM matching
JOIN loose_cells USING (rank, waterway, action)
LEFT JOIN strict_cells
    ON strict_cells.rank = matching.rank AND strict_cells.waterway = matching.waterway
    AND strict_cells.cargo_type = matching.cargo_type AND strict_cells.action = matching.action;

CREATE TEMP TABLE strict AS
WITH daily AS (
    SELECT strict_cell AS cell, known_day, count(*) AS tried, count(*) FILTER (worked) AS worked, sum(score) AS total
    FROM events WHERE strict_cell IS NOT NULL GROUP BY ALL
),

running AS (
    SELECT
        cell, known_day,
        sum(tried) OVER upto AS tried, sum(worked) OVER upto AS worked, sum(total) OVER upto AS total
    FROM daily
    WINDOW upto AS (PARTITION BY cell ORDER BY known_day)
),

wanted AS (SELECT probes.*, cell, action FROM probes JOIN strict_cells USING (rank, waterway, cargo_type))

SELECT wanted.*, tried::BIGINT AS tried, worked::BIGINT AS worked, total
FROM wanted ASOF JOIN running ON wanted.cell = running.cell AND wanted.day > running.known_day;

CREATE TEMP TABLE loose AS
WITH daily AS (
    SELECT loose_cell AS cell, known_day, count(*) AS tried, count(*) FILTER (worked) AS worked, sum(score) AS total
    FROM events GROUP BY ALL
),

running AS (
    SELECT
        cell, known_day,
        sum(tried) OVER upto AS tried, sum(worked) OVER upto AS worked, sum(total) OVER upto AS total
    FROM daily
    WINDOW upto AS (PARTITION BY cell ORDER BY known_day)
),

wanted AS (
    SELECT rank, day, waterway, cell, action FROM (SELECT DISTINCT rank, day, waterway FROM probes)
    JOIN loose_cells USING (rank, waterway)
)

SELECT wanted.*, tried::BIGINT AS tried, worked::BIGINT AS worked, total
FROM wanted ASOF JOIN running ON wanted.cell = running.cell AND wanted.day > running.known_day;

CREATE TEMP TABLE chosen AS
WITH strictly AS (
    SELECT rank, day, waterway, cargo_type, sum(tried)::BIGINT AS tried FROM strict GROUP BY ALL HAVING sum(tried) >= 5
),

loosely AS (
    SELECT rank, day, waterway, sum(tried)::BIGINT AS tried FROM loose GROUP BY ALL HAVING sum(tried) >= 5
)

SELECT
    probes.*,
    CASE WHEN strictly.tried IS NOT NULL THEN 1 ELSE 2 END AS level,
    coalesce(strictly.tried, loosely.tried) AS all_tried
FROM probes
LEFT JOIN strictly USING (rank, day, waterway, cargo_type)
LEFT JOIN loosely ON loosely.rank = probes.rank AND loosely.day = probes.day AND loosely.waterway = probes.waterway
WHERE coalesce(strictly.tried, loosely.tried) IS NOT NULL;

CREATE TEMP TABLE options AS
SELECT row_number() OVER ()::INTEGER AS id, * FROM (
    SELECT chosen.*, cell, action, strict.tried, worked, total
    FROM chosen JOIN strict USING (rank, day, waterway, cargo_type) WHERE level = 1
    UNION ALL
    SELECT chosen.*, cell, action, loose.tried, worked, total
    FROM chosen JOIN loose USING (rank, day, waterway) WHERE level = 2
);

-- Of the N that were known before the day, those in place N, N - 1 and N - 2.
CREATE TEMP TABLE quotes AS
WITH placed AS (
    SELECT
        1 AS level, strict_cell AS cell, case_id,
        row_number() OVER (PARTITION BY strict_cell ORDER BY known, case_id DESC) AS place
    FROM events WHERE strict_cell IS NOT NULL
    UNION ALL
    -- What is looked for loosely is early as a rule, so that few are looked through.
    SELECT
        2, loose_cell, case_id,
        row_number() OVER (PARTITION BY loose_cell ORDER BY known, case_id DESC)
    FROM events
    JOIN (SELECT cell AS loose_cell, max(day) AS last_day FROM options WHERE level = 2 GROUP BY ALL) USING (loose_cell)
    WHERE known_day < last_day
),

told AS (
    SELECT case_id, {id: case_id, "at": cases.at, closes: closes, score: outcome.score, worked: outcome.worked} AS row
    FROM '$out/cases*.parquet' AS cases WHERE outcome IS NOT NULL
),

numbered AS (SELECT level, cell, place, row FROM placed JOIN told USING (case_id)),

places AS (
    SELECT id, level, cell, back, tried - back AS place
    FROM options, (VALUES (0), (1), (2)) AS steps (back) WHERE tried > back
)

SELECT id, list_transform(list_sort(list({back: back, quoted: row})), lambda item: item.quoted) AS quoted
FROM places JOIN numbered USING (level, cell, place)
GROUP BY id;

CREATE TEMP TABLE answers AS
WITH bounded AS (
    SELECT
        *,
        -- The lower end of the 95 % Wilson interval.
        CASE WHEN worked = 0 THEN 0.0 ELSE (
            worked / tried + z * z / (2 * tried)
            - z * sqrt((worked / tried * (1 - worked / tried) + z * z / (4 * tried)) / tried)
        ) / (1 + z * z / tried) END AS low
    FROM options, (VALUES (1.959963984540054::DOUBLE)) AS normal (z)
),

-- What is ordered by stands first in the rows that are sorted.
listed AS (
    SELECT
        probe,
        any_value(level) AS level,
        any_value(all_tried) AS tried,
        list_transform(
            list_sort(list({
                low: -low, fewer: -tried, name: action,
                option: {
                    action: action, tried: tried, worked: worked, rate: worked / tried,
                    mean_score: total::DOUBLE / tried, quoted: quoted
                }
            })),
            lambda item: item.option
        ) AS options
    FROM bounded JOIN quotes USING (id)
    GROUP BY probe
)

SELECT
    probe,
    {
        enough: true, level: level, tried: tried,
        best: list_filter(options, lambda option: option.tried >= 5 AND option.worked > 0)[1],
        worst: list_filter(options, lambda option: option.tried >= 5)[-1],
        options: options
    } AS precedents
FROM listed;

COPY (
    SELECT
        case_id,
        coalesce(
            precedents,
            {enough: false, level: NULL, tried: 0, best: NULL, worst: NULL, options: []}
        ) AS precedents
    FROM asking
    JOIN probes
        ON probes.rank = asking.rank AND probes.day = asking.day AND probes.waterway = asking.waterway
        AND probes.cargo_type IS NOT DISTINCT FROM asking.cargo_type
    LEFT JOIN answers USING (probe)
) TO '$out/precedents.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480);
