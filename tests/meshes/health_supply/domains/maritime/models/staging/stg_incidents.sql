-- Exact duplicates (two messages) are one row. A position is text: 46°37'50.89""N, a new line, 31°35'01.64""E.
with messages as (
    select distinct reference, date, position, "navArea", subreg, hostility, victim, description
    from read_csv(
        '{{ var("public_data") }}/nga-asam/ASAM_2022-06-21.csv',
        header = true, all_varchar = true, quote = '"', escape = '"'
    )
),

read as (
    select
        *,
        regexp_extract_all(position, '[0-9.]+')::double[] as figures,
        regexp_extract_all(position, '[NSEW]') as sides
    from messages
)

select
    reference,
    date::date as occurred_on,
    (figures[1] + figures[2] / 60 + figures[3] / 3600) * case sides[1] when 'S' then -1 else 1 end as latitude,
    (figures[4] + figures[5] / 60 + figures[6] / 3600) * case sides[2] when 'W' then -1 else 1 end as longitude,
    "navArea" as navarea,
    subreg as subregion,
    nullif(trim(regexp_replace(hostility, '\s+', ' ', 'g')), '') as aggressor_text,
    nullif(trim(regexp_replace(victim, '\s+', ' ', 'g')), '') as victim
from read
