-- The filters of the templates that are more than one function.
CREATE OR REPLACE MACRO capital(t) AS concat(upper(t[1]), lower(t[2:]));
