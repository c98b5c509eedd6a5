"""Hold a retold text against its story: values stay the data's, and words fail closed"""
