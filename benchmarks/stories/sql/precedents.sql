-- What earlier cases show, once for each question that can differ: split, day, waterway and cargo (a probe), never once
-- a case. `options` has a row for each probe and action, `precedents` one a probe with its options in order.
CREATE OR REPLACE TEMP TABLE event AS
SELECT
    case_id, asked_at, closes, score, worked, action, known::DATE AS day, split_no, waterway, asked_cargo,
    row_number() OVER (ORDER BY known, case_id DESC)::INTEGER AS n
FROM cases WHERE judged;  -- also those that fall to the embargo, or straddle: they happened

CREATE OR REPLACE TEMP TABLE probe AS
SELECT row_number() OVER ()::INTEGER AS probe, *
FROM (
    SELECT DISTINCT split_no, asked_at::DATE AS day, waterway, asked_cargo AS cargo FROM cases WHERE split IS NOT NULL
);

-- What is counted together: a level's keys, an action, and the split that asks, which sees its own events and those of
-- earlier splits. One number for all of it keeps the sorts below narrow. Level 2 has no cargo.
CREATE OR REPLACE TEMP TABLE pool AS
WITH seen AS (
    SELECT DISTINCT asks, e.waterway, e.asked_cargo, e.action
    FROM (SELECT DISTINCT split_no, waterway, asked_cargo, action FROM event) AS e
    JOIN (SELECT DISTINCT split_no AS asks FROM probe) ON e.split_no <= asks
)
SELECT row_number() OVER ()::INTEGER AS pool, *
FROM (
    SELECT 1 AS level, asks, waterway, asked_cargo AS cargo, action FROM seen WHERE asked_cargo IS NOT NULL
    UNION
    SELECT 2, asks, waterway, '', action FROM seen
);

CREATE OR REPLACE TEMP TABLE told AS
SELECT p.pool, e.*
FROM event AS e JOIN pool AS p
ON p.waterway = e.waterway AND p.action = e.action AND p.asks >= e.split_no
    AND (p.level = 2 OR p.cargo = e.asked_cargo);

-- Each event with its place in its pool and the two before it: an option that was tried n times by a day quotes the
-- row of place n. `lag` costs half of what a list over a frame costs.
CREATE OR REPLACE TEMP TABLE placed AS
SELECT
    pool,
    row_number() OVER latest AS place,
    {'id': case_id, 'at': asked_at, 'closes': closes, 'score': score, 'worked': worked} AS last_1,
    lag(last_1, 1) OVER latest AS last_2,
    lag(last_1, 2) OVER latest AS last_3
FROM told
WINDOW latest AS (PARTITION BY pool ORDER BY n);

CREATE OR REPLACE TEMP TABLE running AS
SELECT
    pool, day,
    sum(tried) OVER until AS tried,
    sum(worked) OVER until AS worked,
    sum(total) OVER until AS total
FROM (
    SELECT pool, day, count(*) AS tried, count(*) FILTER (worked) AS worked, sum(score) AS total
    FROM told GROUP BY pool, day
)
WINDOW until AS (PARTITION BY pool ORDER BY day);

CREATE OR REPLACE TEMP TABLE counted AS
WITH wanted AS (
    SELECT a.probe, a.day, pool.pool, pool.level, pool.action
    FROM probe AS a JOIN pool
    ON pool.asks = a.split_no AND pool.waterway = a.waterway AND (pool.level = 2 OR pool.cargo = a.cargo)
),
found AS (
    SELECT w.probe, w.level, w.pool, w.action, r.tried, r.worked, r.total
    FROM wanted AS w ASOF JOIN running AS r ON r.pool = w.pool AND r.day < w.day
),
enough AS (
    SELECT probe, level, sum(tried) AS all_tried FROM found GROUP BY probe, level HAVING sum(tried) >= 5
),
chosen AS (SELECT probe, min(level) AS level, arg_min(all_tried, level) AS all_tried FROM enough GROUP BY probe)
SELECT f.*, c.all_tried FROM found AS f JOIN chosen AS c USING (probe, level);

CREATE OR REPLACE TEMP TABLE options AS
SELECT
    c.probe, c.level, c.all_tried::BIGINT AS all_tried, c.action, l.words,
    c.tried::BIGINT AS tried,
    c.worked::BIGINT AS worked,
    c.worked::DOUBLE / c.tried::DOUBLE AS rate,
    c.total::DOUBLE / c.tried::DOUBLE AS mean_score,
    p.quoted,
    CASE WHEN c.worked = 0 THEN 0 ELSE wilson(c.worked::DOUBLE, c.tried::DOUBLE, 1.959963984540054, -1) END AS low95,
    CASE WHEN c.worked = 0 THEN 0 ELSE wilson(c.worked::DOUBLE, c.tried::DOUBLE, 1.6448536269514722, -1) END AS low90,
    wilson(c.worked::DOUBLE, c.tried::DOUBLE, 1.6448536269514722, 1) AS high90,
    {
        'action': c.action, 'mean_score': mean_score,
        'quoted': list_transform(p.quoted, lambda q: {'id': q.id, 'score': q.score}),
        'rate': rate, 'tried': c.tried::BIGINT, 'worked': c.worked::BIGINT
    } AS fact,
    list_transform(p.quoted, lambda q: source('shipping.shipment_delays', q.id)) AS anchors,
    -- option.md.jinja
    concat(
        capital(l.words), '. It was tried ', times(c.tried::BIGINT), ' before in cases like this one and worked ', times(c.worked::BIGINT),
        format(' ({:,.0f}%), with ', 100 * rate), hours(mean_score), ' on average.',
        array_to_string(list_transform(p.quoted, lambda q: concat(' Case ', q.id, recovered(q.score))), '')
    ) AS told,
    -- the line of advise.md.jinja; {choose} stands for the word that the case draws
    concat(
        '- ', capital(l.words), ': {choose} ', times(c.tried::BIGINT), ', worked ', times(c.worked::BIGINT),
        format(' ({:,.0f}%), ', 100 * rate), hours(mean_score), ' on average.', chr(10)
    ) AS line
FROM counted AS c
JOIN (
    SELECT pool, place, list_filter([last_1, last_2, last_3], lambda q: q.id IS NOT NULL) AS quoted FROM placed
) AS p ON p.pool = c.pool AND p.place = c.tried
JOIN label AS l ON l.kind = 'action_code' AND l.code = c.action;

CREATE OR REPLACE TEMP TABLE precedents AS
WITH gathered AS (
    SELECT
        probe, level, all_tried,
        list_sort(list({
            'low': -low95, 'fewer': -tried, 'action': action, 'tried': tried, 'worked': worked, 'rate': rate,
            'mean_score': mean_score, 'quoted': quoted, 'words': words, 'line': line
        })) AS options
    FROM options GROUP BY probe, level, all_tried
),
judged AS (
    SELECT
        *,
        list_filter(options, lambda o: o.tried >= 5) AS able,
        list_filter(able, lambda o: o.worked > 0) AS good,
        good[1] AS best,
        able[-1] AS worst
    FROM gathered
)
SELECT
    p.*,
    j.probe IS NOT NULL AS enough,
    j.level,
    coalesce(j.all_tried, 0) AS tried,
    j.best,
    good[2].action AS second,
    j.worst,
    able[-2].action AS last_but_one,
    coalesce(options, []) AS options,
    CASE WHEN j.probe IS NULL THEN concat('There are too few closed cases like this one to say what works.', chr(10))
    ELSE concat(
        counted(all_tried, ' closed case'),
        CASE WHEN level = 1 THEN ' like this one ' ELSE ' at this waterway, with any cargo, ' END,
        CASE WHEN all_tried = 1 THEN 'was' ELSE 'were' END, ' known by then.', chr(10), chr(10),
        array_to_string(list_transform(options, lambda o: o.line), ''), chr(10),
        CASE WHEN best IS NULL THEN 'Nothing that was tried often enough has worked.'
        ELSE concat('What worked best was to ', best.words, '.') END,
        array_to_string(list_transform(best.quoted, lambda q:
            concat(' Case ', q.id, ' of ', day_of(q.at), recovered(q.score))), ''), chr(10),
        CASE WHEN best IS NOT NULL AND worst.action <> best.action AND worst.rate < 0.5 THEN
            concat('What mostly did not work was to ', worst.words, '.', chr(10))
        END
    ) END AS advice
FROM probe AS p LEFT JOIN judged AS j USING (probe);

COPY (
    SELECT * EXCLUDE (advice, second, last_but_one) REPLACE (
        {'action': best.action, 'tried': best.tried, 'worked': best.worked, 'rate': best.rate,
         'mean_score': best.mean_score, 'quoted': best.quoted} AS best,
        {'action': worst.action, 'tried': worst.tried, 'worked': worst.worked, 'rate': worst.rate,
         'mean_score': worst.mean_score, 'quoted': worst.quoted} AS worst,
        list_transform(options, lambda o: {
            'action': o.action, 'tried': o.tried, 'worked': o.worked, 'rate': o.rate, 'mean_score': o.mean_score,
            'quoted': o.quoted
        }) AS options
    ) FROM precedents
) TO '{precedents}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480);
