-- The file as it is, with names to write SQL with. Both kinds of date become dates; what stands in place of a date
-- ('Pre-PQ Process', 'Date Not Captured', 'N/A - From RDC') becomes null.
select
    id::bigint as line_id,
    "project code" as project_code,
    "po / so #" as po_number,
    "asn/dn #" as asn,
    country,
    "managed by" as managed_by,
    "fulfill via" as fulfil_text,
    "vendor inco term" as inco_text,
    "shipment mode" as mode_text,
    try_strptime("pq first sent to client date", '%-m/%-d/%Y')::date as quoted_on,
    try_strptime("po sent to vendor date", '%-m/%-d/%Y')::date as ordered_on,
    strptime("scheduled delivery date", '%-d-%b-%y')::date as planned_on,
    strptime("delivered to client date", '%-d-%b-%y')::date as delivered_on,
    strptime("delivery recorded date", '%-d-%b-%y')::date as recorded_on,
    "product group" as product_group,
    "sub classification" as sub_classification,
    vendor,
    "item description" as item,
    "molecule/test type" as molecule,
    brand,
    dosage,
    "dosage form" as dosage_form,
    "unit of measure (per pack)"::bigint as pack_size,
    "line item quantity"::bigint as packs,
    "line item value"::decimal(14, 2) as line_value_usd,
    "pack price"::decimal(12, 2) as pack_price_usd,
    "unit price"::decimal(12, 2) as unit_price_usd,
    replace("manufacturing site", 'Ã¸', 'ø') as manufacturing_site,
    "first line designation"::boolean as first_line,
    "weight (kilograms)" as weight_text,
    "freight cost (usd)" as freight_text,
    "line item insurance (usd)"::decimal(12, 2) as insurance_usd
from read_csv(
    '{{ var("public_data") }}/scms-shipments/SCMS_Delivery_History_Dataset.csv',
    header = true, all_varchar = true
)
