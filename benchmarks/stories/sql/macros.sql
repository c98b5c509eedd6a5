-- The filters of the templates, as far as they are more than one function of the engine.
CREATE OR REPLACE TEMP MACRO day_of(t) AS strftime(t, '%-d %B %Y');
CREATE OR REPLACE TEMP MACRO capital(t) AS concat(upper(t[1]), lower(t[2:]));
CREATE OR REPLACE TEMP MACRO counted(n, one) AS concat(format('{:,}', n), CASE WHEN n = 1 THEN one ELSE one || 's' END);
CREATE OR REPLACE TEMP MACRO times(n) AS counted(n, ' time');
CREATE OR REPLACE TEMP MACRO unit(n, one) AS concat(n, one, CASE WHEN n <> 1 THEN 's' END);
-- Hours with two digits after the decimal point, not negative: the two largest whole units.
CREATE OR REPLACE TEMP MACRO minutes_of(h) AS (h * 100)::BIGINT * 3 // 5;
CREATE OR REPLACE TEMP MACRO in_units(m) AS CASE
    WHEN m >= 1440 THEN concat(unit(m // 1440, ' day'), CASE WHEN m % 1440 >= 60 THEN concat(' ', unit(m % 1440 // 60, ' hour')) END)
    WHEN m >= 60 THEN concat(unit(m // 60, ' hour'), CASE WHEN m % 60 > 0 THEN concat(' ', unit(m % 60, ' minute')) END)
    ELSE unit(m, ' minute')
END;
CREATE OR REPLACE TEMP MACRO duration(h) AS in_units(minutes_of(h));
CREATE OR REPLACE TEMP MACRO hours(x) AS
    concat(format('{:,.1f}', abs(x)), CASE WHEN x > 0 THEN ' hours recovered' ELSE ' hours lost' END);
CREATE OR REPLACE TEMP MACRO recovered(x) AS
    CASE WHEN x > 0 THEN format(' recovered {:,.1f} hours.', x::DOUBLE) ELSE ' recovered nothing.' END;
CREATE OR REPLACE TEMP MACRO draw(case_id, call, n) AS
    ('0x' || substr(md5(concat(case_id, call)), 1, 8))::BIGINT % n + 1;
CREATE OR REPLACE TEMP MACRO wilson(worked, tried, z, side) AS
    (worked / tried + z * z / (2 * tried)
        + side * z * sqrt((worked / tried * (1 - worked / tried) + z * z / (4 * tried)) / tried))
    / (1 + z * z / tried);

-- The labels of codes inside lists, where no join reaches.
CREATE OR REPLACE TEMP TABLE labels AS
SELECT
    (SELECT map_from_entries(list((code, words))) FROM label WHERE kind = 'kind') AS kinds,
    (SELECT map_from_entries(list((code, words))) FROM label WHERE kind = 'severity') AS severities,
    (SELECT map_from_entries(list((code, words))) FROM label WHERE kind = 'action_code') AS actions;
