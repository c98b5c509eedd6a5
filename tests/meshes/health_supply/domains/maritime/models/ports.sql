-- Blanks are a space in this file. Numbers are text (49454.5); two stand twice: the row that fills more fields stays.
with ports as (
    select
        "World Port Index Number" as port_number,
        trim("MAIN_PORT_NAME") as name,
        replace(trim("UN/LOCODE"), ' ', '') as locode,
        nullif(trim("Country Code"), '') as country,
        trim("World Water Body") as water_body,
        replace(lower(nullif(trim("Harbor Size"), '')), ' ', '_') as harbour_size,
        "LATITUDE"::double as latitude,
        "LONGITUDE"::double as longitude,
        nullif(trim("Region Name"), '') as region,
        nullif(trim("Alternate Port Name"), '') as alternate_name
    from read_csv(
        '{{ var("public_data") }}/nga-world-port-index/UpdatedPub150.csv',
        header = true, all_varchar = true
    )
)

select
    port_number,
    name,
    case when regexp_full_match(locode, '[A-Z]{2}[A-Z2-9]{3}') then locode end as un_locode,
    coalesce(country, case when locode like 'NO%' then 'Norway' end) as country,
    water_body,
    harbour_size,
    latitude,
    longitude
from ports
qualify row_number() over (
    partition by port_number
    order by (region is null)::integer + (alternate_name is null)::integer, latitude, longitude
) = 1
